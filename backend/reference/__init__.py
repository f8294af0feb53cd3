"""The API's description of itself: what FastAPI knows, with a summary and an example for every operation."""
