# WireGuard for site poznan of pionier/gw: the customer's side, RouterOS 7.
# Paste it into a terminal, or upload it as lockgate.rsc; then: /import lockgate.rsc

# The private key that belongs to the public key
#   maLGAt7qlDKheJ0b2UB2czTze0w+olYPiKypk6zlMC0=
# It is yours alone: never send it to anyone.
/interface wireguard
add name=lockgate mtu=1380 private-key="<your private key>" comment="Lockgate: site poznan of pionier/gw"

# What you reach through the tunnel: the applications, and the gateway itself.
/interface wireguard peers
add interface=lockgate public-key="l0F8zz1mKaLy7R0yK1ozTB/wE2ASRHXEt3GPogXzf2o=" \
    endpoint-address=vpn.example.net endpoint-port=51834 \
    allowed-address=10.136.40.0/24,2001:db8:40::/64,10.255.30.0/32,2001:db8:30::/128 \
    persistent-keepalive=25s

/ip address
add address=10.255.30.1/32 network=10.255.30.0 interface=lockgate
/ip route
add dst-address=10.136.40.0/24 gateway=lockgate comment=Lockgate

/ipv6 address
add address=2001:db8:30::1/127 interface=lockgate advertise=no
/ipv6 route
add dst-address=2001:db8:40::/64 gateway=lockgate comment=Lockgate

# Rules are taken in order: move these above those of yours that drop.
/ip firewall filter
add chain=input in-interface=lockgate protocol=icmp action=accept comment=Lockgate
add chain=input in-interface=lockgate src-address=10.136.40.0/24 action=accept comment=Lockgate
add chain=forward in-interface=lockgate action=accept comment=Lockgate
add chain=input in-interface=lockgate protocol=tcp dst-port=179 src-address=10.255.30.0 action=accept comment=Lockgate
/ipv6 firewall filter
add chain=input in-interface=lockgate protocol=icmpv6 action=accept comment=Lockgate
add chain=input in-interface=lockgate src-address=2001:db8:40::/64 action=accept comment=Lockgate
add chain=forward in-interface=lockgate action=accept comment=Lockgate

# You say those of your networks that are in your router's table, at most
# 50 of them: more end the session. You hear where the applications are.
# The gateway takes you for its customer (RFC 9234), and has no session without it.
/ip firewall address-list
add list=lockgate address=192.168.1.0/24
/ipv6 firewall address-list
add list=lockgate address=2001:db8:aa::/48
/routing filter rule
add chain=lockgate-in rule="if (dst in 10.136.40.0/24 && dst-len == 24) { accept }"
add chain=lockgate-in rule="if (dst in 2001:db8:40::/64 && dst-len == 64) { accept }"
# RouterOS 7.20 and newer. Before that there is no instance: leave it out, and write
# as=65010 and address-families= in place of instance= and afi=.
/routing bgp instance
add name=lockgate as=65010
/routing bgp connection
add name=lockgate instance=lockgate \
    local.address=10.255.30.1 local.role=ebgp-customer \
    remote.address=10.255.30.0 remote.as=64600 \
    hold-time=30s keepalive-time=10s afi=ip,ipv6 \
    input.filter=lockgate-in output.network=lockgate

# Your networks that the applications reach, and from which you reach them:
#   192.168.1.0/24
#   2001:db8:aa::/48
# Do not NAT what goes between them and the gateway, and let devices there send
# what is for 10.136.40.0/24, 2001:db8:40::/64 to this router.
#
# To verify:
#   /interface wireguard peers print detail where interface=lockgate    last-handshake is some seconds ago
#   /routing bgp session print    a session with the flag E: established
#   /ping 10.255.30.0 count=3    the gateway answers
#   /ping 2001:db8:30:: count=3    the gateway answers
#
# To send back, so that the other side can compare:
#   /interface wireguard print where name=lockgate    it has to be maLGAt7qlDKheJ0b2UB2czTze0w+olYPiKypk6zlMC0=
#   current-endpoint-address of the peer, and the time of the last handshake
