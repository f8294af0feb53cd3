"""The pages of the workbench, one file each; `frontend.page.discover` finds them."""
