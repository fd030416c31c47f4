"""The hinge between annotations and networks: configs go in, a stream of frozen events comes out.

`engine.config` and `engine.events` are light; the stages import torch and MONAI, so import them late:

>>> from napari_segsize.engine.stages import finetune  # doctest: +SKIP
>>> for event in finetune(project): ...  # doctest: +SKIP
"""
