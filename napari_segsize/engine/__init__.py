"""The hinge between annotations and networks: configs go in, a stream of frozen events comes out.

`stages` is the way in: pretrain and finetune over a project; `predict` and `evaluate` use what they leave,
if asked in four looks (`mirrored`).
Below them: `dataset`, `scaling`, `crop`, `augment` and `batch` (annotations to tensors), `objective` (what is
minimised), `recipe` and `recipe_objective` (a sum of losses, from its text to its terms), `runs` (how a stage
is set up), `fitting` and `memory` (crops and tiles that fit into it), `pace` (how long it will take),
`advice` (which network suits), `turn` (one at a time), `loop` (the steps), `asking` (Stop within one),
`run_files` (what a run leaves), `suspects` (which image failed), `checkpoint` (files) and `device`.
The same for contours: `contour_stages`, `contour_items` and `closeup` (annotations to close-ups),
`contour_batch`, `contour_objective`, `contour_runs`, `contour_config`; `evolve` turns a `prompt` into a
contour, through the network (`contour_field`, `views`, `starter`: the one that ships), the `snake`, or a
level set (`levelset_field`, `levelset_outlines`; `levelset_runs`, `levelset_objective` and
`levelset_config` train its network, through `contour_stages` too: `outline_networks` says what differs);
`readiness` compiles before the first one. For masks that are a few pixels off: `alignment` moves one
outline (`outline_search` by `outline_evidence`, `learned_outline` by a network that ships, or `geodesic`),
`refine` those of a plane; `alignment_stages`, `alignment_runs`, `displaced` and `drawn_objects` teach the
network behind `learned_outline` a project's own; `edge_stages`, `edge_items`, `edge_alignment`,
`edge_batch`, `edge_runs` and `edge_config` train the network that finds thin edges.
`microscope` explains one plane (`object_view`, `size_gradient`); `loss_look` shows one loss of it, with
`loss_prediction` for contours, level sets, fields and edges, and `loss_catalogue` names them all; `report`,
`chart` and `figure` make the page of results.

A setting is an `option`; those of every training are in `training_config`, those of networks that segment
pixels in `config`.

`engine.config` and `engine.events` are light; the stages import torch and MONAI, so import them late:

>>> from napari_segsize.engine.stages import finetune  # doctest: +SKIP
>>> for event in finetune(project): ...  # doctest: +SKIP
"""
