"""The face: Gradio pages and browser components that speak HTTP to the backend."""
