"""What needs root's rights, apart from the hub: a helper that does it, and how the hub asks for it.

A portal that root starts is two processes. The one that root started becomes the helper: it alone
has root's rights, reads nothing of the network, and does the few things in `requests`, each checked
here, whatever the hub says. Its child is the hub, an account without rights. They talk by a pair of
sockets that nobody else has.

=============  ==================================================================================
`requests`     what the hub can ask for, and whether it has the right form
`settings`     what root tells the helper at its start: the hub has no say in it
`helper`       the loop that answers; it ends with the hub, and the hub with it
`servers`      starts, signals and ends users' servers
`parts`        starts the portal's own parts, by commands that root has fixed
`records`      which servers run, kept for the helper of the next start
`asking`       the hub's side
=============  ==================================================================================
"""
