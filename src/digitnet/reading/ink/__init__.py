"""Ink: from a grey picture of one digit, or from a pen's strokes, to bright, soft strokes on 0.

``finder`` is the way in. ``drawn`` or ``photographed`` (with ``light``) find where there is ink in
a reduced picture; ``components`` groups its parts, one group for each digit; ``cutting`` goes back
to the picture and cuts out the best one; ``middle`` is for pictures cut from rows of writing.
``strokes`` draws what a pen wrote.
"""
