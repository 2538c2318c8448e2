"""The book's name, version and addresses: the one place where they stand.

``make address`` and ``make version`` rewrite this file and everything that repeats it.
"""

VERSION = "0.1.0"
REVISION = "v0.1.0"  # the tag that the set-up cell fetches; always "v" + VERSION
REPOSITORY = "https://github.com/nested-learning-book/nested-learning-book"
PAGES = "https://nested-learning-book.github.io/nested-learning-book/"
