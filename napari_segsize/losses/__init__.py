"""What a network can learn from: one function and a thin module a loss. `LOSSES` is the catalogue.

`recipe` reads weighted sums of them; `microscope` looks at one; `notices` says what is odd about their input.
"""

from __future__ import annotations

from napari_segsize.losses.active_contour import (
    ACTIVE_CONTOUR,
    CHAN_VESE,
    ActiveContourLoss,
    ChanVeseLoss,
    active_contour_loss,
    chan_vese_loss,
)
from napari_segsize.losses.area import AreaBoundsLoss, area_bounds, area_bounds_loss
from napari_segsize.losses.boundary import BOUNDARY, BoundaryLoss, MapCache, boundary_loss, boundary_map
from napari_segsize.losses.centerline import CLDICE, ClDiceLoss, cldice_loss
from napari_segsize.losses.centroid import CentroidLoss, centroid_loss
from napari_segsize.losses.contour import (
    BALLOON,
    CONTOUR_SEGMENTATION,
    CURVATURE,
    BalloonLoss,
    ContourSegmentationLoss,
    CurvatureLoss,
    balloon_loss,
    contour_segmentation_loss,
    curvature_loss,
)
from napari_segsize.losses.contour_distance import (
    CONTOUR_DISTANCE,
    ContourDistanceLoss,
    contour_distance_loss,
)
from napari_segsize.losses.contour_points import EXTREME_POINTS, ExtremePointsLoss, extreme_points_loss
from napari_segsize.losses.contour_size import CONTOUR_SIZE, ContourSizeLoss, contour_size_loss
from napari_segsize.losses.edges import (
    DIRECTION,
    EDGE_BCE,
    NMS,
    DirectionLoss,
    EdgeBceLoss,
    NmsLoss,
    direction_loss,
    edge_bce_loss,
    nms_loss,
)
from napari_segsize.losses.focal import FOCAL, FocalLoss, focal_loss
from napari_segsize.losses.hausdorff import (
    HAUSDORFF,
    ONE_SIDED_HAUSDORFF,
    HausdorffLoss,
    OneSidedHausdorffLoss,
    hausdorff_loss,
    one_sided_hausdorff_loss,
)
from napari_segsize.losses.hausdorff_convolution import (
    HAUSDORFF_CONVOLUTION,
    HausdorffConvolutionLoss,
    hausdorff_convolution_loss,
)
from napari_segsize.losses.hausdorff_erosion import (
    HAUSDORFF_EROSION,
    HausdorffErosionLoss,
    hausdorff_erosion_loss,
)
from napari_segsize.losses.info import LossInfo
from napari_segsize.losses.levelset import (
    MOTION_DIRECTION,
    PHI_BCE,
    PHI_DISTANCE,
    MotionDirectionLoss,
    PhiBceLoss,
    PhiDistanceLoss,
    motion_direction_loss,
    phi_bce_loss,
    phi_distance_loss,
)
from napari_segsize.losses.overlap import (
    GENERALISED_DICE,
    TVERSKY,
    GeneralisedDiceLoss,
    TverskyLoss,
    generalised_dice_loss,
    tversky_loss,
)
from napari_segsize.losses.projection import PROJECTION, ProjectionLoss, projection_loss
from napari_segsize.losses.region import BceLoss, DiceLoss, bce_loss, dice_loss
from napari_segsize.losses.schedule import Schedule
from napari_segsize.losses.size import SizeLoss, size_error, size_loss
from napari_segsize.losses.topology import TOPOLOGY, TopologyLoss, topology_loss

LOSSES: dict[str, LossInfo] = {
    "bce": LossInfo(
        function=bce_loss,
        module=BceLoss,
        needs=("mask",),
        acts_on="logits",
        looks_at="every pixel on its own",
        advice="The start of every training. Small objects weigh little; add Dice then.",
        reference="PyTorch, binary_cross_entropy_with_logits",
    ),
    "dice": LossInfo(
        function=dice_loss,
        module=DiceLoss,
        needs=("mask",),
        acts_on="logits",
        looks_at="the overlap of all pixels",
        advice="For small objects. Less smooth than cross-entropy; best together with it.",
        reference="Milletari, Navab and Ahmadi, V-Net, 3DV 2016; MONAI DiceLoss",
    ),
    "size": LossInfo(
        function=size_loss,
        module=SizeLoss,
        needs=("size",),
        acts_on="logits",
        looks_at="the largest inscribed square of sampled masks",
        advice=(
            "After pre-training on some masks, for one compact object an image. It says nothing about where "
            "the object is: keep masks or centres beside it, and watch the overlap as well as the size error."
        ),
        reference="Baručić and Kybic, Learning to segment from object sizes, ITAT 2022",
    ),
    "centroid": LossInfo(
        function=centroid_loss,
        module=CentroidLoss,
        needs=("centre",),
        acts_on="logits",
        looks_at="the centre of mass of the probabilities",
        advice=(
            "Beside the size loss, for one object an image or window. Raise `sharpness` when background is "
            "faint but wide."
        ),
        reference="Centre of mass; compare Honari et al., CVPR 2018 (soft-argmax)",
    ),
    "area_bounds": LossInfo(
        function=area_bounds_loss,
        module=AreaBoundsLoss,
        needs=("area",),
        acts_on="logits",
        looks_at="the sum of the probabilities",
        advice="A baseline: area within bounds, silent between them. Weight about 0.05 beside cross-entropy.",
        reference="Kervadec et al., Constrained-CNN losses for weakly supervised segmentation, MedIA 2019",
    ),
    "focal": FOCAL,
    "generalised_dice": GENERALISED_DICE,
    "tversky": TVERSKY,
    "contour_segmentation": CONTOUR_SEGMENTATION,
    "balloon": BALLOON,
    "curvature": CURVATURE,
    "extreme_points": EXTREME_POINTS,
    "contour_distance": CONTOUR_DISTANCE,
    "contour_size": CONTOUR_SIZE,
    "phi_distance": PHI_DISTANCE,
    "motion_direction": MOTION_DIRECTION,
    "phi_bce": PHI_BCE,
    "projection": PROJECTION,
    "boundary": BOUNDARY,
    "cldice": CLDICE,
    "active_contour": ACTIVE_CONTOUR,
    "chan_vese": CHAN_VESE,
    "hausdorff": HAUSDORFF,
    "one_sided_hausdorff": ONE_SIDED_HAUSDORFF,
    "hausdorff_erosion": HAUSDORFF_EROSION,
    "hausdorff_convolution": HAUSDORFF_CONVOLUTION,
    "topology": TOPOLOGY,
    "edge_bce": EDGE_BCE,
    "nms": NMS,
    "direction": DIRECTION,
}

__all__ = [
    "LOSSES",
    "ActiveContourLoss",
    "AreaBoundsLoss",
    "BalloonLoss",
    "BceLoss",
    "BoundaryLoss",
    "CentroidLoss",
    "ChanVeseLoss",
    "ClDiceLoss",
    "ContourDistanceLoss",
    "ContourSegmentationLoss",
    "ContourSizeLoss",
    "CurvatureLoss",
    "DiceLoss",
    "DirectionLoss",
    "EdgeBceLoss",
    "ExtremePointsLoss",
    "FocalLoss",
    "GeneralisedDiceLoss",
    "HausdorffConvolutionLoss",
    "HausdorffErosionLoss",
    "HausdorffLoss",
    "LossInfo",
    "MapCache",
    "MotionDirectionLoss",
    "NmsLoss",
    "OneSidedHausdorffLoss",
    "PhiBceLoss",
    "PhiDistanceLoss",
    "ProjectionLoss",
    "Schedule",
    "SizeLoss",
    "TopologyLoss",
    "TverskyLoss",
    "active_contour_loss",
    "area_bounds",
    "area_bounds_loss",
    "balloon_loss",
    "bce_loss",
    "boundary_loss",
    "boundary_map",
    "centroid_loss",
    "chan_vese_loss",
    "cldice_loss",
    "contour_distance_loss",
    "contour_segmentation_loss",
    "contour_size_loss",
    "curvature_loss",
    "dice_loss",
    "direction_loss",
    "edge_bce_loss",
    "extreme_points_loss",
    "focal_loss",
    "generalised_dice_loss",
    "hausdorff_convolution_loss",
    "hausdorff_erosion_loss",
    "hausdorff_loss",
    "motion_direction_loss",
    "nms_loss",
    "one_sided_hausdorff_loss",
    "phi_bce_loss",
    "phi_distance_loss",
    "projection_loss",
    "size_error",
    "size_loss",
    "topology_loss",
    "tversky_loss",
]
