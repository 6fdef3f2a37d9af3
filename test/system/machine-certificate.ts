/** A machine's certificate by an authority of the operator's own, made by openssl. */

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** `machines.pem`, and under it `machine.pem` and `machine.key`, as when a machine is installed. */
export async function makeMachine(directory: string): Promise<void> {
  const openssl = (line: string): Promise<unknown> =>
    run('openssl', line.split(' '), { cwd: directory });
  const newKey = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';
  await openssl(
    `req -x509 ${newKey} -keyout machines.key -out machines.pem -subj /CN=Machines -days 1 ` +
      '-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign',
  );
  await openssl(`req ${newKey} -keyout machine.key -out machine.csr -subj /CN=web-7`);
  await writeFile(
    join(directory, 'ext'),
    'keyUsage=critical,digitalSignature\nsubjectAltName=DNS:web-7.rack.test\n',
  );
  await openssl(
    'x509 -req -in machine.csr -CA machines.pem -CAkey machines.key -out machine.pem -days 1 -extfile ext',
  );
}
