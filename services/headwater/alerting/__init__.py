"""Alerts as code: rules for Prometheus from a policy, routes for Alertmanager. Pure; knows no I/O.

`rules` has the shapes, `connector` the alerts of one connector account, `platform` those of Headwater itself,
`routing` who hears of them, `rendering` the files.
"""
