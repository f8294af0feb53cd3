"""One module per task of `backend.queue.QUEUES`: `plumbline.x` runs `work()` of `x.py`.

`work()` takes nothing and returns nothing: it claims rows until none is left, and leaves early when
`workers.shutdown.asked()`. Whatever it did not finish stays in the database, for another worker or a later start.
"""
