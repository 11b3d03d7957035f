"""`world4rl play`: a dream that somebody steers."""
