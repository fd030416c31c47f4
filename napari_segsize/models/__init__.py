"""Networks. Each file opens with the paper it implements.

`unet`: MONAI's U-Net and SegResNet, configured; `kiunet`: KiU-Net, for thin structures; `segmentation`:
these by name; `contour`: displacement fields that move polygons (ACDRNet); `levelset`: three heads that start
and move a level set (DELSE); `edges`: thin edges (STEAL); `alignment`: where a rough outline belongs.
"""
