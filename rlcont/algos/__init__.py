"""The algorithms: a folder each, with config.py (hyper-parameters, without torch) and agent.py; see find.py."""
