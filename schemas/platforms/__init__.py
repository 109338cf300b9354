"""One dialect a file: what each platform sends, asks and expects, pure."""
