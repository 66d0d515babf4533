"""Reactivity profiles: figures, tables and the page."""
