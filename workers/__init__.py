"""One stage a file: a batch of envelopes in, envelopes out."""
