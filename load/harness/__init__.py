"""The parts of `load/run`: services, scenarios, rounds, report, charts, drill. Python standard library only."""
