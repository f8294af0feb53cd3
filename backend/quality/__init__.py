"""Quality of labels: agreement, numbers about annotators, their reliabilities, and settling disagreements."""
