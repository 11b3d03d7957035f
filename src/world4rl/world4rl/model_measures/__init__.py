"""`world4rl evaluate world-model`: what is measured, of which models and episodes, and the page about it."""
