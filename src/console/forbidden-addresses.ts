// Addresses that the console asks for nobody: where machines of a cloud get their credentials, and what is no address
// of a service at all.
// Guarantees: an IPv4 address counts however IPv6 writes it (mapped, compatible, NAT64, 6to4). Loopback and private
// networks are allowed, because that is where the services of a self-hosted app are.

import { BlockList, isIPv4, isIPv6 } from 'node:net'

const four = new BlockList()
four.addSubnet('0.0.0.0', 8, 'ipv4')
// Link-local, with the metadata services of most clouds in it.
four.addSubnet('169.254.0.0', 16, 'ipv4')
// Metadata elsewhere: Alibaba, Oracle, Azure.
for (const address of ['100.100.100.200', '192.0.0.192', '168.63.129.16']) four.addAddress(address, 'ipv4')
four.addSubnet('224.0.0.0', 4, 'ipv4')
four.addSubnet('240.0.0.0', 4, 'ipv4')

const six = new BlockList()
six.addAddress('::', 'ipv6')
six.addSubnet('fe80::', 10, 'ipv6')
six.addSubnet('ff00::', 8, 'ipv6')
// Metadata: Amazon, Google.
six.addAddress('fd00:ec2::254', 'ipv6')
six.addAddress('fd20:ce::254', 'ipv6')

/** `address` as a resolver gives it. What is no address is forbidden, too. */
export function isForbidden(address: string): boolean {
  const bare = address.replace(/^\[|\]$/g, '').split('%')[0]!
  if (isIPv4(bare)) return four.check(bare, 'ipv4')
  if (!isIPv6(bare)) return true
  if (bare === '::1' || /^(0+:){7}0*1$/.test(bare)) return false
  const inner = embedded(groupsOf(bare))
  return six.check(bare, 'ipv6') || (inner !== undefined && four.check(inner, 'ipv4'))
}

/** The IPv4 address inside an IPv6 one. */
function embedded(groups: number[]): string | undefined {
  const zeros = (count: number) => groups.slice(0, count).every((group) => group === 0)
  const isMapped = zeros(5) && (groups[5] === 0xffff || groups[5] === 0)
  const isTranslated = zeros(4) && groups[4] === 0xffff && groups[5] === 0
  const isNat64 = groups[0] === 0x64 && groups[1] === 0xff9b
  if (isMapped || isTranslated || isNat64) return dotted(groups[6]!, groups[7]!)
  return groups[0] === 0x2002 ? dotted(groups[1]!, groups[2]!) : undefined
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

function groupsOf(address: string): number[] {
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a, b, c, d] = bytes.map(Number) as [number, number, number, number]
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  })
  const [head = '', tail] = plain.split('::')
  const before = head.split(':').filter(Boolean)
  const after = (tail ?? '').split(':').filter(Boolean)
  const between = tail === undefined ? [] : Array(8 - before.length - after.length).fill('0')
  return [...before, ...between, ...after].map((group) => Number.parseInt(group, 16))
}
