/** Where we part from nginx and haproxy in their usual settings, by the names of the vectors, and why. */

interface Difference {
  readonly why: string;
  readonly names: readonly string[];
}

/** Refused by us, forwarded by both of them. */
const stricter: readonly Difference[] = [
  {
    why: 'RFC 9112 §2.2 lets a line end in a bare LF; parsers that differ in this have been played against each other',
    names: [
      'a bare LF after a chunk size',
      'a bare LF before the request',
      'a bare LF ends a field',
      'a bare LF ends the head',
      'a bare LF ends the trailers',
      'a bare LF hides a field',
      'a bare LF in the trailers',
      'a chunk ended by a bare LF',
      'a request line ended by a bare LF',
      'only line feeds',
    ],
  },
  {
    why: 'RFC 9112 §2.2: one empty line before a request is enough for the old clients it is borne for',
    names: ['two empty lines before the request'],
  },
  {
    why: 'RFC 9112 §3: single spaces; a lenient parser is allowed and is what the next hop may not be',
    names: ['two spaces after the method', 'two spaces after the target'],
  },
  {
    why: 'RFC 9112 §3.2: what the URI grammar has no place for, and servers read in their own ways',
    names: ['a backslash in the target'],
  },
  {
    why: 'RFC 9110 §5.5: control characters in values are invalid, and a recipient may refuse them',
    names: ['DEL in a value', 'a control character in a value'],
  },
  {
    why: 'RFC 9112 §3.2: 400 for a Host that is not a host with an optional port',
    names: [
      'a bracket left open',
      'a broken escape in Host',
      'a byte above 0x7f in Host',
      'a list of hosts',
      'a port above 65535',
      'a port that is no number',
      'a zone in an address',
      'user information in Host',
    ],
  },
  {
    why: 'RFC 9110 §7.6.1: Connection must not name what is meant for every recipient, and holds tokens',
    names: [
      'Connection names Authorization',
      'Connection names Content-Length',
      'Connection names Content_Length',
      'Connection names Host',
      'Connection names Transfer-Encoding',
      'Connection names X-Forwarded-Client-Cert',
      'a connection option behind a no-break space',
      'a connection option that is no token',
    ],
  },
  {
    why: 'RFC 9110 §8.6: a length in a base that is not everybody’s',
    names: ['a double zero', 'a length with leading zeros'],
  },
  {
    why: 'RFC 3875 §4.1.18: behind a gateway interface these are the framing fields; nginx drops them, haproxy sends them on',
    names: [
      'Transfer-Encoding and Transfer_Encoding',
      'Transfer_Encoding',
      'a length under another spelling',
    ],
  },
  {
    why: 'RFC 9110 §6.5.1: fields that have no place in trailers; the others drop the whole section',
    names: [
      'Authorization among the trailers',
      'Connection among the trailers',
      'Content-Type among the trailers',
      'Host among the trailers',
      'Set-Cookie among the trailers',
      'Trailer among the trailers',
      'Transfer_Encoding among the trailers',
    ],
  },
  { why: 'RFC 9112 §5.2: a folded line is refused, in trailers too', names: ['a folded trailer'] },
  {
    why: 'RFC 9112 §7.1.1: white space around extensions, which nobody sends and parsers skip differently',
    names: [
      'a tab before a chunk extension',
      'white space around the equals sign of a chunk extension',
    ],
  },
  { why: 'a bound of ours on the method (RFC 9112 §3 names 501)', names: ['a method of 33 bytes'] },
  { why: 'RFC 9112 §2.3: a version that nobody speaks', names: ['HTTP/1.2'] },
  {
    why: 'refused by the proxy and not by the codec, so that the requests behind it go on',
    names: ['dot segments and double slashes are left as they are'],
  },
];

export const stricterNames: readonly string[] = stricter.flatMap(({ names }) => names).toSorted();

/** As above where haproxy, which streams, has let the last chunk go before it sees what follows; it may not have. */
export const sometimesStricter: ReadonlySet<string> = new Set([
  'a request where the trailers would end',
  'a trailer without a name',
  'white space before the first trailer',
  'Content-Length among the trailers',
  'Transfer-Encoding among the trailers',
]);

/** Forwarded by us and by neither of them. */
export const laxer: Readonly<Record<string, string>> = {};

const hostless = 'RFC 9112 §3.2: HTTP/1.1 with an empty Host where none is known; nginx wants one';
const handshake = 'RFC 6455 §4.2.1: haproxy wants the whole handshake of WebSocket';
const method = 'RFC 9110 §9.1: methods are any tokens; nginx takes capital letters';

/** Forwarded by us in a form that one of them refuses whole. */
export const takenByOne: Readonly<Record<string, string>> = {
  '100-continue in HTTP/1.0 is not waited for': hostless,
  'HTTP/1.0 after a body by length is kept where it asks for that': hostless,
  'HTTP/1.0 with keep-alive': hostless,
  'HTTP/1.0 with keep-alive and close closes': hostless,
  'HTTP/1.0 without Host closes': hostless,
  'a body by length in HTTP/1.0': hostless,
  'an empty Host': hostless,
  'an upgrade is surfaced': handshake,
  'several protocols offered on several lines': handshake,
  'every token character in a method': method,
  'methods have case': method,
  'OPTIONS of the whole server': 'RFC 9112 §3.2.4: nginx knows no `*`',
  'OPTIONS of the whole server in absolute-form': 'RFC 9112 §3.2.4: nginx knows no `*`',
};

/** Read by us in another way than by one of them, in a way that cannot make one request two. */
export const readOtherwise: Readonly<Record<string, string>> = {
  'OPTIONS of the whole server in absolute-form':
    'RFC 9112 §3.2.4: the last proxy sends `*`; nginx sends `/`',
  'dot segments and double slashes are left as they are':
    'refused by the proxy and not by the codec, so that the connection and the requests behind it go on',
};
