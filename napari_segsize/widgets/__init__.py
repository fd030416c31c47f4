"""The dock widget: the only folder that knows there is a window.

`main` puts the pages together. The first word of a name says whose file it is: `project_`, `annotate_`,
`contour_`, `refine_`, `train_`, `loss_` and `size_` (both on the page Inspect) belong to the page of that
name.
Each has a page or inspector (what is seen), and most a desk (what the verbs do), runs or a job (what is done
in the background), a state and layers.
What all share: `controller` (verbs in, a frozen `state` out; the verbs are in `project_verbs`,
`annotate_verbs` and `train_verbs`, on one `session`), `job` (the only thread), `layers` (what is done with
napari's layers: `layer_plane`, `layer_preview`, `layer_tools`, on the `layer_parts`),
`overlays` and `shelf` (layers of ours among those of the user), `keys`, `form` and `editors`
(settings), `preferences`; of image files `opening` (read before they are shown, with `canvas_words`),
`file_watch` and `file_links` (changed or moved); `stopped_settings` (what Resume goes on with);
`loading` and `own_llvm` (what is imported late, and how).
"""
