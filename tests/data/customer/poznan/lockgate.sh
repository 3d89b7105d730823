# WireGuard for site poznan of pionier/gw: the customer's side, OpenWrt.
# Install it first: opkg install wireguard-tools (apk add from 25.12 on); then paste
# this into a shell on the router.

uci -q delete network.lockgate
uci -q delete network.lockgate_gw
uci -q delete firewall.lockgate
uci -q delete firewall.lockgate_in
uci -q delete firewall.lockgate_out
uci -q delete firewall.lockgate_dial
uci batch <<'EOF'
set network.lockgate='interface'
set network.lockgate.proto='wireguard'
set network.lockgate.private_key='<your private key>'
set network.lockgate.mtu='1380'
add_list network.lockgate.addresses='10.255.30.1/31'
add_list network.lockgate.addresses='2001:db8:30::1/127'
set network.lockgate_gw='wireguard_lockgate'
set network.lockgate_gw.description='Lockgate: site poznan of pionier/gw'
set network.lockgate_gw.public_key='l0F8zz1mKaLy7R0yK1ozTB/wE2ASRHXEt3GPogXzf2o='
set network.lockgate_gw.endpoint_host='vpn.example.net'
set network.lockgate_gw.endpoint_port='51834'
set network.lockgate_gw.persistent_keepalive='25'
set network.lockgate_gw.route_allowed_ips='1'
add_list network.lockgate_gw.allowed_ips='10.136.40.0/24'
add_list network.lockgate_gw.allowed_ips='2001:db8:40::/64'
add_list network.lockgate_gw.allowed_ips='10.255.30.0/32'
add_list network.lockgate_gw.allowed_ips='2001:db8:30::/128'
set firewall.lockgate='zone'
set firewall.lockgate.name='lockgate'
add_list firewall.lockgate.network='lockgate'
set firewall.lockgate.input='ACCEPT'
set firewall.lockgate.output='ACCEPT'
set firewall.lockgate.forward='REJECT'
set firewall.lockgate.masq='0'
set firewall.lockgate_in='forwarding'
set firewall.lockgate_in.src='lockgate'
set firewall.lockgate_in.dest='lan'
set firewall.lockgate_out='forwarding'
set firewall.lockgate_out.src='lan'
set firewall.lockgate_out.dest='lockgate'
commit network
commit firewall
EOF
service network reload
service firewall reload

# The private key that belongs to the public key
#   maLGAt7qlDKheJ0b2UB2czTze0w+olYPiKypk6zlMC0=
# It is yours alone: never send it to anyone.
#
# Your networks that the applications reach, and from which you reach them:
#   192.168.1.0/24
#   2001:db8:aa::/48
# Do not NAT what goes between them and the gateway, and let devices there send
# what is for 10.136.40.0/24, 2001:db8:40::/64 to this router.
# They are taken to be in the firewall's zone lan; name another in the forwardings.
#
# Over it the gateway, 10.255.30.0 of AS 64600, speaks BGP with you,
# 10.255.30.1 of AS 65010: the formats frr and bird have that part.
#
# To verify:
#   ifstatus lockgate    "up": true
#   wg show lockgate latest-handshakes    a number other than 0
#   ping -c 3 10.255.30.0    the gateway answers
#   ping6 -c 3 2001:db8:30::    the gateway answers
#
# To send back, so that the other side can compare:
#   wg show lockgate public-key    it has to be maLGAt7qlDKheJ0b2UB2czTze0w+olYPiKypk6zlMC0=
#   wg show lockgate endpoints, and the time of the last handshake
