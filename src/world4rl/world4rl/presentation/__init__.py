"""How things are shown to people: pictures, films, charts, and what HTML pages share."""
