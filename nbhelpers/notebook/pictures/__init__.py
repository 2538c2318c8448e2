"""Drawing code of the chapters' figures, one module a chapter.

A chapter computes on its page and draws here, so that the page shows the idea and not the plotting. Each
function takes numbers, returns a figure, and is shown by ``show`` or ``explore`` with its alt text.
"""
