"""Rendered indoor rooms: shapes, furniture, floor plans, surfaces, and the camera that looks at them."""
