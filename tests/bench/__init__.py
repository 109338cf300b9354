"""The benchmarks: ours and the peers in turn, in the same run, on this machine's loopback. `make bench` plays them."""
