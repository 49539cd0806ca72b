"""What portalign says: one document per step or run, and the forms it takes.

`document` decides what is said, `text` prints it, `data` keeps it as JSON, `reprod` writes the
community's dumps and logs, `aggregate` joins the steps. No module here imports a framework.
"""
