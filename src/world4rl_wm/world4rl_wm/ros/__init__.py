"""The node `imagination` and the messages it speaks."""
