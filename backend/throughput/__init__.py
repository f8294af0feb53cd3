"""Throughput: how quickly a task's labels come, from whom, when it will be done; and what a new task will cost."""
