"""Backups: one archive with every row and every object that a row names, made while the program runs, and its return.

An archive is a tar of `database/<table>.copy.gz`, `objects/<key>[/<file>]`, perhaps `secret.key`, and at its end
`manifest.json` with the sizes and SHA-256 of all of them. Rows are data only (COPY), never SQL: what an archive says
is not run, and the schema comes from this program's own migrations.
"""
