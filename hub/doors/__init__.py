"""The doors: LDAP and PAM, asked off the hub's loop, with a sentence for who isn't let in."""
