"""The site's reference pages, made from what they describe while mkdocs builds; they stand in no folder."""
