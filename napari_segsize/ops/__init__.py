"""Image geometry on tensors: pure functions, no state, no files.

Every function takes ``(N, C, *spatial)`` tensors, 2-D or 3-D, on any device; contours are ``(N, K, 2)``.

- `ball`, `distance`, `signed_distance`, `size`, `centroid`: distances, object sizes, centres.
- `levelset`, `zero_line`: level sets, how they move, and their outlines with holes and parts.
- `mesh`: masks of triangle meshes, for comparison.
- `outline`: resampling and measures of contours.
- `points`, `roi`: extreme points and heat maps; regions of an image and the way back.
- `polygon`: masks of polygons, differentiable in the vertices.
- `thinning`: edges of masks, directions across them, edges thinned to lines.
- `skeleton`, `topology`: centre lines; parts, holes and their persistence.
- `starts`: contours to start an evolution from.
- `validity`: outlines with fewer vertices, and without crossings.
"""

from napari_segsize.ops.centroid import centroid
from napari_segsize.ops.distance import Border, chebyshev_distance
from napari_segsize.ops.size import flip_sizes, object_size

__all__ = ["Border", "centroid", "chebyshev_distance", "flip_sizes", "object_size"]
