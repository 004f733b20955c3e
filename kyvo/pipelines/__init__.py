"""Every job, as a list of named stages. The Python API, the command line, the server and the studio all call these."""
