"""The words of the loss microscope: what can be drawn, what a prediction's numbers are, what maps show."""

from __future__ import annotations

__all__ = ["COPIES", "KINDS", "MAPS", "PARTS", "PREDICTIONS", "SLOPES"]

PARTS = {
    "gradient": ("Gradient", "How the loss grows with each pixel: descending goes the other way."),
    "contour": ("The contour", "The outline that the loss looks at."),
    "lines": ("Outlines", "White: where the level set is 0. Yellow: the target's outline."),
    "gaps": (
        "Gaps at the points",
        "White: to the nearest place on the contour. Pink: how far it ends beyond.",
    ),
    "squares": ("Squares", "Blue: the largest square inside. White: the size to learn."),
    "vertices": ("Cost of each vertex", "The lighter and larger a vertex, the more it adds to the loss."),
    "motion": ("Directions", "White: the field. Blue: the way off the true outline."),
    "disks": ("Costliest disk of each radius", "Where a disk of each radius finds the largest error."),
    "normals": ("Normals of the true edge", "Along these strokes, only the highest pixel may stay."),
    "marks": ("Centres and points", "White cross: the true one. Pink x: that of the probabilities."),
    "pixels": (
        "Critical pixels",
        "Where parts and holes appear (disc) and go (x). Green: in the target; orange: not.",
    ),
}
"""Title and tool tip of what can be drawn beside maps."""
_AUTO = "Labels are a mask; numbers from 0 to 1 are probabilities, others "
_PROBABILITIES = ("probabilities", "From 0 to 1; whole numbers of 8 or 16 bits are shares.")
_LOGITS = ("logits", "Before the sigmoid: above 0 is object.")
_MASK = ("mask", "Whatever is not 0 is object.")
_LEVEL_SETS = {
    "automatic": ("auto", f"{_AUTO}a level set. Of masks and probabilities the signed distance is taken."),
    "a level set": ("logits", "Positive inside, in pixels."),
    "probabilities": ("probabilities", "From 0 to 1: the outline of the half counts."),
    "a mask": _MASK,
}
KINDS = {
    "pixels": {
        "automatic": ("auto", f"{_AUTO}logits."),
        "probabilities": _PROBABILITIES,
        "logits": _LOGITS,
        "a mask": _MASK,
    },
    "edges": {
        "automatic": ("auto", "Labels are objects, whose outlines are the edges; images are edges."),
        "probabilities": ("probabilities", "That a pixel is an edge, from 0 to 1."),
        "logits": ("logits", "Before the sigmoid: above 0 is edge."),
        "edge pixels": ("mask", "Whatever is not 0 is edge."),
        "objects": ("outlines", "Their outlines are the edges."),
    },
    "phi": _LEVEL_SETS,
    "field": _LEVEL_SETS,
}
"""Titles, names and tool tips of what the numbers can be, by what the loss acts on."""
PREDICTIONS = {
    "pixels": ("Prediction", "What the loss judges: probabilities, logits, a mask."),
    "edges": ("Edges", "What the loss judges: probabilities of edges, or the outlines of labels."),
    "contour": ("Contour", "What the loss judges: a polygon of a Shapes layer, or the outline of labels."),
    "phi": (
        "Level set",
        "What the loss judges: phi, positive inside, or the signed distance made of a mask.",
    ),
    "field": (
        "Field",
        "What the loss judges: a stack of two slices, y and x, or the way off the outline of anything else.",
    ),
}
"""What the prediction is called, and what it can be, by what the loss acts on."""
COPIES = {
    "pixels": "Make labels of this prediction (without one, of the target), and take up the brush: the loss "
    "follows every stroke.",
    "contour": "Make a polygon of this outline (without one, of the target's): drag its vertices, and the "
    "loss follows.",
}
SLOPES = {
    "probabilities": "Of the probabilities: what each pixel should do.",
    "logits": "Of the logits: what a network feels. It fades where the network is sure.",
}
"""What the gradient can be taken by."""
MAPS = {
    "ghosts": "Predicted, and not in the target.",
    "misses": "In the target, and not predicted.",
    "cost": "What each pixel adds to the loss.",
    "signed distance": "How far each pixel is from the true outline: blue inside, red outside.",
    "distance to target": "How far each pixel is from the true outline.",
    "distance to prediction": "How far each pixel is from the predicted outline.",
    "non-overlap": "The squared error of each pixel.",
    "residues": "What is left of the error after each erosion: choose the step below.",
    "edges": "Edge pixels of the target.",
    "length": "Outline of the prediction: what the loss shortens.",
    "region": "Area on the wrong side of the outline.",
    "skeleton of the prediction": "The soft centre line of the prediction.",
    "skeleton of the target": "The soft centre line of the target.",
    "share of the disk in the target": "How much of a disk around each pixel is target.",
    "share of the disk in the prediction": "How much of a disk around each pixel is prediction.",
    "probabilities": "What is added up to the area.",
    "largest of each row": "All that the loss sees of a row: drawn along it.",
    "largest of each column": "All that the loss sees of a column: drawn along it.",
    "rendered mask": "How much of each pixel the contour covers.",
    "outside": "How much of each pixel lies outside the contour: what the loss adds up.",
    "level set": "Positive inside, negative outside, 0 on the predicted outline.",
    "wanted distance": "What the level set should be.",
    "inside": "How far each pixel counts as inside.",
    "squared angle": "Between the field and the way off the true outline.",
    "chessboard distance": "Steps to the background (diagonals count as one); the largest is half the size.",
}
"""Tool tips of maps."""
