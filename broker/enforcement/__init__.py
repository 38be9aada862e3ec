"""What claims allow: pure functions of claims, a question and a clock (enforcement spec §2, §3).

admission decides a connection, traffic a publish, a subscription and a delivery, live what a
change means for connections that are in. Nothing here reads a socket, a clock or a store.
"""
