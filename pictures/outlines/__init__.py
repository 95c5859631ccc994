"""Outlines drawn in annotation tools, COCO, CVAT and LabelMe, as masks of the pictures that they belong to."""
