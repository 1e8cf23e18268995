import { offer } from './bench';

offer({});
