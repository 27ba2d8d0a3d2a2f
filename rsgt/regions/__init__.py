"""Algorithm 1: depth and labels in, regions out; its kernels and how they are compiled."""
