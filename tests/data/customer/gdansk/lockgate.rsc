# WireGuard for site gdansk of pionier/gw: the customer's side, RouterOS 7.
# Paste it into a terminal, or upload it as lockgate.rsc; then: /import lockgate.rsc

# The private key that belongs to the public key
#   KUqmUiykOzfItG4GFEahYHI73SWzlJo4godc/r4aqRQ=
# It is yours alone: never send it to anyone.
/interface wireguard
add name=lockgate mtu=1380 listen-port=51820 private-key="<your private key>" comment="Lockgate: site gdansk of pionier/gw"

# The preshared key comes to you another way than this file.
# What you reach through the tunnel: the applications, and the gateway itself.
/interface wireguard peers
add interface=lockgate public-key="l0F8zz1mKaLy7R0yK1ozTB/wE2ASRHXEt3GPogXzf2o=" \
    preshared-key="<the preshared key>" \
    endpoint-address=vpn.example.net endpoint-port=51834 \
    allowed-address=10.136.40.0/24,2001:db8:40::/64,10.255.31.5/32 \
    persistent-keepalive=15s

/ip address
add address=10.255.31.1/29 interface=lockgate
/ip route
add dst-address=10.136.40.0/24 gateway=lockgate comment=Lockgate
/ipv6 route
add dst-address=2001:db8:40::/64 gateway=lockgate comment=Lockgate

# Rules are taken in order: move these above those of yours that drop.
# The gateway dials you at UDP port 51820.
/ip firewall filter
add chain=input protocol=udp dst-port=51820 action=accept comment=Lockgate
add chain=input in-interface=lockgate protocol=icmp action=accept comment=Lockgate
add chain=input in-interface=lockgate src-address=10.136.40.0/24 action=accept comment=Lockgate
add chain=forward in-interface=lockgate action=accept comment=Lockgate
/ipv6 firewall filter
add chain=input protocol=udp dst-port=51820 action=accept comment=Lockgate
add chain=input in-interface=lockgate protocol=icmpv6 action=accept comment=Lockgate
add chain=input in-interface=lockgate src-address=2001:db8:40::/64 action=accept comment=Lockgate
add chain=forward in-interface=lockgate action=accept comment=Lockgate

# Your networks that the applications reach, and from which you reach them:
#   192.168.1.0/24 (the applications see it as 10.200.1.0/24)
# Do not NAT what goes between them and the gateway, and let devices there send
# what is for 10.136.40.0/24, 2001:db8:40::/64 to this router.
#
# To verify:
#   /interface wireguard peers print detail where interface=lockgate    last-handshake is some seconds ago
#   /ping 10.255.31.5 count=3    the gateway answers
#
# To send back, so that the other side can compare:
#   /interface wireguard print where name=lockgate    it has to be KUqmUiykOzfItG4GFEahYHI73SWzlJo4godc/r4aqRQ=
#   current-endpoint-address of the peer, and the time of the last handshake
