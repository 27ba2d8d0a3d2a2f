"""Region-support ground truth for monocular depth.

``rsgt`` turns frames with depth and semantic labels (NYU Depth v2) into region support, a
segmentation whose regions hold one category at nearly constant depth, and keeps it in a sharded
Zarr v3 store.
"""

__version__ = "0.1.0"
