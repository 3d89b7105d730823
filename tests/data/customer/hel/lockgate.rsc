# WireGuard for site hel of pionier/gw: the customer's side, RouterOS 7.
# Paste it into a terminal, or upload it as lockgate.rsc; then: /import lockgate.rsc

# The private key that belongs to the public key
#   xtIXAjhXx3EuhTA4JrKCugEX4q1x8gKYnkBK/gE9fAY=
# It is yours alone: never send it to anyone.
/interface wireguard
add name=lockgate mtu=1380 private-key="<your private key>" comment="Lockgate: site hel of pionier/gw"

# What you reach through the tunnel: the applications, and the gateway itself.
/interface wireguard peers
add interface=lockgate public-key="l0F8zz1mKaLy7R0yK1ozTB/wE2ASRHXEt3GPogXzf2o=" \
    endpoint-address=vpn.example.net endpoint-port=51834 \
    allowed-address=10.136.40.0/24,2001:db8:40::/64 \
    persistent-keepalive=25s
/ip route
add dst-address=10.136.40.0/24 gateway=lockgate comment=Lockgate
/ipv6 route
add dst-address=2001:db8:40::/64 gateway=lockgate comment=Lockgate

# Rules are taken in order: move these above those of yours that drop.
/ip firewall filter
add chain=input in-interface=lockgate protocol=icmp action=accept comment=Lockgate
add chain=input in-interface=lockgate src-address=10.136.40.0/24 action=accept comment=Lockgate
add chain=forward in-interface=lockgate action=accept comment=Lockgate
/ipv6 firewall filter
add chain=input in-interface=lockgate protocol=icmpv6 action=accept comment=Lockgate
add chain=input in-interface=lockgate src-address=2001:db8:40::/64 action=accept comment=Lockgate
add chain=forward in-interface=lockgate action=accept comment=Lockgate

# Your networks that the applications reach, and from which you reach them:
#   192.168.3.7/32
# Do not NAT what goes between them and the gateway, and let devices there send
# what is for 10.136.40.0/24, 2001:db8:40::/64 to this router.
#
# To verify:
#   /interface wireguard peers print detail where interface=lockgate    last-handshake is some seconds ago
#
# To send back, so that the other side can compare:
#   /interface wireguard print where name=lockgate    it has to be xtIXAjhXx3EuhTA4JrKCugEX4q1x8gKYnkBK/gE9fAY=
#   current-endpoint-address of the peer, and the time of the last handshake
