"""The portal: site profiles become a JupyterHub configuration, with pages and a command."""
