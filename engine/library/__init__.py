"""The models of a project on disk: listed, renamed, copied, deleted and brought back, verified and compared.

Every change is one rename (or one file replaced), so that a crash leaves the old or the new state; a model that a run
holds is refused. Folders whose names start with a dot are never models.
"""
