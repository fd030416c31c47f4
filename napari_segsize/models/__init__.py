"""Networks. Each file opens with the paper it implements.

`unet`: MONAI's U-Net and SegResNet, configured; `contour`: displacement fields that move polygons (ACDRNet).
"""
