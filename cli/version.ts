/** The version of this release, as the CA is told it by its agents. A test compares it with package.json. */

export const version = '0.1.0';
