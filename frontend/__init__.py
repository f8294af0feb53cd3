"""The face: Gradio pages and browser components; speaks HTTP to the backend and nothing else."""
