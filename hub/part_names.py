"""What hub and helper call the portal's parts, known without importing any of these."""

PROXY = "proxy"
PROXYS_TOKEN = "CONFIGPROXY_AUTH_TOKEN"  # noqa: S105 - the name of a variable
PAM, PAMS_MODULE = "pam", "hub.doors.pam_asking"
SESSION, SESSIONS_MODULE = "session", "hub.doors.pam_session"
